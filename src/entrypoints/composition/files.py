"""Files and directories that this process writes, for commands."""

from adapters.files.directories import make_private_directory
from adapters.files.whole_files import OWNER_ONLY, replace_file

__all__ = ["OWNER_ONLY", "make_private_directory", "replace_file"]
