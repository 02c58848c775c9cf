"""What readers share: files as people save them, images and where they are, samples and the table they make."""
