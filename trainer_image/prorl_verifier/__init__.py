"""The verification service: model output is judged here, in killable processes, nowhere else.

Imports nothing of ours and no torch, so that its image stays small and its process expendable.
"""

__version__ = "0.1.0"
