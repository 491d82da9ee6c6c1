"""A local stand-in for mail server, Slack, PagerDuty and dead man's switch, and runbooks as pages; not for real mail.

It keeps what Alertmanager sends in memory, bounded, and shows it. Loopback only, no authentication.
"""
