"""What people can do with Tandem: use cases over ports. Knows no technology."""
