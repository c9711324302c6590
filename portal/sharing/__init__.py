"""Sharing: links and their codes, the pictures of them, and the clicks of visitors. People come in here."""
