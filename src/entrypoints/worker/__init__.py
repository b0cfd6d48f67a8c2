"""The process that repairs and tidies up beside the service."""
