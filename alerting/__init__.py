"""Who is told when something is wrong: Alertmanager's configuration, its templates, a local inbox; no rules."""
