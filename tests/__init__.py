"""The tests: domain (facts and balances), web (pages as people read them), browser, faults; bench beside them."""
