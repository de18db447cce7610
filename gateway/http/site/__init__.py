"""The pages of people: sign-up, sign-in, the links in mails, the account. They need no script."""
