"""What PID 1 of a Ray pod is made of: settings, processes, the link, and the two lives."""
