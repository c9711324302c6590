"""The demo's sample data: a program three months old, made through the verbs of the story at past moments.

`people` says who there is, `plot` what happens and when (`arrivals`, `earnings`), `storyteller` tells it.
"""

from datetime import datetime

from portal.demo import plot
from portal.demo.people import COLLEAGUES
from portal.demo.storyteller import PASSWORD, Storyteller, email
from portal.payouts.methods import Details


def fill(*, at: datetime, keep: Details) -> Storyteller:
    """Makes the sample data, up to the moment `at`, and gives who told it. Needs an empty database."""
    story = Storyteller(at, keep)
    story.tell(plot.steps(story))
    return story


def logins(base_url: str) -> str:
    """The demo's logins, for the terminal."""
    listed = "\n".join(f"  {role or 'referrer':9} {email(name)}" for name, role in COLLEAGUES.items())
    return (
        f"\nThe demo is at {base_url}\n{listed}\n  password  {PASSWORD}\n"
        f"Its mails lie at {base_url}/dev/mail. Two-step sign-in is not asked for here.\n"
    )
