"""Files and directories that outlive the process that writes them."""
