"""Referrals: deciding who brought a friend, and the fact of it. People become referrals here."""
