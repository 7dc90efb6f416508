"""What is written about the chart from its own files."""
