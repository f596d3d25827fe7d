"""What single tables are made of, where one module would be too long."""
