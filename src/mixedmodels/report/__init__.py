"""A fitted model as one page of HTML, to be handed over; and its look in a notebook."""
