"""Texts with secrets and personal data, none of them real, and texts that only look like it.

Tokens are put together at run time, so that scanners for secrets do not find them in this repository.
"""

import base64
import random
import string
from typing import NamedTuple

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


class Entry(NamedTuple):
    """A text of some kind, and the part of it that must not leave the process."""

    kind: str
    text: str
    secret: str


class Named(NamedTuple):
    """A secret that is known by its name alone."""

    key: str
    secret: str


def made(length: int, alphabet: str = _LETTERS) -> str:
    """Return random characters, the same in each process for the same arguments; a digit is among them."""
    choice = random.Random(f"{length} {alphabet}")
    return "".join(choice.choice(alphabet) for _ in range(length - 1)) + "7"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_PASSWORD = "hunter2-" + "Xq9!vL"
_AWS_SECRET = made(40, _LETTERS + "/+")
_JWT = ".".join(
    (b64('{"alg":"HS256"}').rstrip("="), b64('{"sub":"1234567890"}').rstrip("="), made(43, _LETTERS + "-_"))
)
_PEM_BODY = "\n".join(made(64, _LETTERS + "+/") for _ in range(3))
_AZURE_KEY = made(86, _LETTERS + "+/") + "=="


def _pem(kind: str, body: str = _PEM_BODY, newline: str = "\n") -> str:
    text = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"
    return text.replace("\n", newline)


_TOKENS = {
    "AWS access key id": "AKIA" + made(16, string.ascii_uppercase + string.digits),
    "AWS temporary key id": "ASIA" + made(16, string.ascii_uppercase + string.digits),
    "GitHub token": "ghp_" + made(36),
    "GitHub app token": "ghs_" + made(36),
    "GitHub fine-grained token": "github_pat_" + made(22) + "_" + made(59),
    "GitLab token": "glpat-" + made(20),
    "GitLab runner token": "glrt-" + made(20),
    "Slack bot token": "xoxb-" + made(12, string.digits) + "-" + made(24),
    "Slack user token": "xoxp-" + made(12, string.digits) + "-" + made(24),
    "Slack app token": "xapp-1-" + made(30),
    "Stripe secret key": "sk_live_" + made(24),
    "Stripe restricted key": "rk_test_" + made(24),
    "Stripe webhook secret": "whsec_" + made(32),
    "OpenAI key": "sk-" + made(48),
    "OpenAI project key": "sk-proj-" + made(64, _LETTERS + "-_"),
    "Anthropic key": "sk-ant-api03-" + made(80, _LETTERS + "-_"),
    "Google API key": "AIza" + made(35, _LETTERS + "-_"),
    "Google OAuth token": "ya29." + made(60, _LETTERS + "-_"),
    "Google client secret": "GOCSPX-" + made(28, _LETTERS + "-_"),
    "Azure client secret": made(3) + "8Q~" + made(34),
    "npm token": "npm_" + made(36),
    "PyPI token": "pypi-AgEIcHlwaS5vcmc" + made(80, _LETTERS + "-_"),
    "SendGrid key": "SG." + made(22) + "." + made(43, _LETTERS + "-_"),
    "Twilio key": "SK" + made(32, _HEX),
    "Twilio account": "AC" + made(32, _HEX),
    "Telegram bot token": made(9, "123456789") + ":AA" + made(33, _LETTERS + "-_"),
    "Discord bot token": "M" + made(23) + "." + made(6) + "." + made(38, _LETTERS + "-_"),
    "Hugging Face token": "hf_" + made(34),
    "Databricks token": "dapi" + made(32, _HEX),
    "Docker token": "dckr_pat_" + made(27),
    "DigitalOcean token": "dop_v1_" + made(64, _HEX),
    "Shopify token": "shpat_" + made(32, _HEX),
    "Mailgun key": "key-" + made(32, _HEX),
    "Vault token": "hvs." + made(40),
    "Grafana token": "glsa_" + made(32) + "_" + made(8, _HEX),
    "JSON web token": _JWT,
    "card number": "4111" + "111111111111",
    "card number in groups": "5555 5555 " + "5555 4444",
    "card number with dashes": "6011-1111-" + "1111-1117",
    "American Express": "3782 822463 " + "10005",
    "social security number": "078-05-" + "1120",
    "IBAN": "DE89" + "370400440532013000",
    "IBAN in groups": "GB29 NWBK 6016 " + "1331 9268 19",
    "e-mail address": "jane.doe+test@" + "mail.example.co.uk",
}

_TEXTS = (
    ("AWS secret key", f"AWS_SECRET_ACCESS_KEY={_AWS_SECRET}", _AWS_SECRET),
    ("AWS secret key in a file", f"aws_secret_access_key = {_AWS_SECRET}\nregion = eu-west-1", _AWS_SECRET),
    ("Slack webhook", f"POST https://hooks.slack.com/services/{made(9)}/{made(11)}/{made(24)}", made(24)),
    ("Azure connection string", f"AccountName=x;AccountKey={_AZURE_KEY};EndpointSuffix=core.windows.net", _AZURE_KEY),
    ("Azure shared key", f"Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey={_AZURE_KEY}", _AZURE_KEY),
    ("Azure signature", f"https://x.blob.core.windows.net/c?sv=2022&sig={made(40)}%3D&se=2030", made(40)),
    ("AWS signed URL", f"https://b.s3.amazonaws.com/k?X-Amz-Signature={made(64, _HEX)}", made(64, _HEX)),
    ("RSA key", _pem("RSA "), _PEM_BODY),
    ("EC key", f"bad key: {_pem('EC ')}", _PEM_BODY),
    ("OpenSSH key", _pem("OPENSSH "), _PEM_BODY),
    ("key in a service account", f'{{"private_key": "{_pem("", newline=chr(92) + "n")}"}}', made(64, _LETTERS + "+/")),
    ("key cut off", _pem("RSA ")[:150], _PEM_BODY[:64]),
    ("PostgreSQL URL", f"postgresql://user:{_PASSWORD}@db.example.org:5432/flights", _PASSWORD),
    ("MySQL URL", f"(could not connect) mysql+pymysql://root:{_PASSWORD}@localhost/db", _PASSWORD),
    ("MongoDB URL", f"mongodb+srv://app:{_PASSWORD}@cluster0.example.net/?retryWrites=true", _PASSWORD),
    ("Redis URL", f"redis://:{_PASSWORD}@cache:6379/0", _PASSWORD),
    ("AMQP URL", f"amqps://guest:{_PASSWORD}@rabbit/vhost", _PASSWORD),
    ("URL with a slash in the password", f"https://u:{_PASSWORD}/x@host/path", f"{_PASSWORD}/x"),
    ("URL with an at sign in the password", f"https://u:{_PASSWORD}@x@host/path", f"{_PASSWORD}@x"),
    ("Sentry DSN", f"https://{made(32, _HEX)}@o1.ingest.sentry.io/2", made(32, _HEX)),
    ("URL with a token", f"GET https://api.example.org/v1?access_token={made(30)}&page=2", made(30)),
    ("ODBC string", f"Driver={{x}};Server=s;Uid=u;Pwd={_PASSWORD};Database=d", _PASSWORD),
    ("ADO string", f"Data Source=s;User ID=u;Password={_PASSWORD};", _PASSWORD),
    ("JDBC URL", f"jdbc:sqlserver://h;user=u;password={_PASSWORD};", _PASSWORD),
    ("libpq string", f"host=h user=u password={_PASSWORD} dbname=d", _PASSWORD),
    ("keyword argument", f"connect(host='h', password='{_PASSWORD}')", _PASSWORD),
    ("JSON", f'{{"user": "u", "password": "{_PASSWORD}"}}', _PASSWORD),
    ("JSON in JSON", f'{{"body": "{{\\"client_secret\\": \\"{_PASSWORD}\\"}}"}}', _PASSWORD),
    ("Python dict", f"{{'user': 'u', 'api_key': '{_PASSWORD}'}}", _PASSWORD),
    ("nested dict", f"{{'credentials': {{'user': 'u', 'pin': '{_PASSWORD}'}}}}", _PASSWORD),
    ("pair", f"[('user', 'u'), ('password', '{_PASSWORD}')]", _PASSWORD),
    ("YAML", f"db:\n  user: u\n  password: {_PASSWORD}\n", _PASSWORD),
    ("TOML", f'[db]\napiKey = "{_PASSWORD}"\n', _PASSWORD),
    ("environment", f"DB_PASSWORD={_PASSWORD} HOME=/root", _PASSWORD),
    ("XML", f"<user>u</user><password>{_PASSWORD}</password>", _PASSWORD),
    ("command line", f"mysqldump --user u --password {_PASSWORD} db", _PASSWORD),
    ("list of arguments", f"['mysql', '--password', '{_PASSWORD}', 'db']", _PASSWORD),
    ("curl", f"curl -u user:{_PASSWORD} https://example.org", _PASSWORD),
    ("bearer header", f"Authorization: Bearer {made(30)}", made(30)),
    ("bearer token in a sentence", f"the server refused bearer {made(30)}", made(30)),
    ("basic header", f"Authorization: Basic {b64('user:' + _PASSWORD)}", b64("user:" + _PASSWORD)),
    ("basic token in a sentence", f"tried Basic {b64('user:' + _PASSWORD)} twice", b64("user:" + _PASSWORD)),
    ("dict of headers", f"{{'X-Api-Key': '{made(30)}', 'Accept': '*/*'}}", made(30)),
    ("cookie", f"Cookie: theme=dark; sid={made(30)}", made(30)),
    ("source line", f'    client = connect(token="{made(30)}", retries=3)', made(30)),
    ("default argument", f'    def connect(host: str, password: str = "{_PASSWORD}") -> None:', _PASSWORD),
    ("npm configuration", f"//registry.npmjs.org/:_authToken={made(36)}", made(36)),
    ("card in a sentence", "charged 4242 4242 " + "4242 4242, declined", "4242 4242 " + "4242 4242"),
    ("card by name", "card: 4242 4242 4242 " + "4243 expired", "4242 4242 " + "4243"),
    ("IBAN by name", "iban = GB29 NWBK 6016 1331 " + "9268 18, closed", "NWBK 6016 1331"),
    ("social security number in groups", "SSN: 078 05 " + "1120", "05 1120"),
    ("passphrase", "passphrase: correct horse battery staple\nnext: 1", "battery staple"),
    ("YAML block", f"db:\n  password: |\n    {_PASSWORD}\n", _PASSWORD),
    ("digest header", f'Authorization: Digest username="u", response="{made(32, _HEX)}"', made(32, _HEX)),
    ("short names", f"user=u pass={_PASSWORD} host=h", _PASSWORD),
    ("social security number by name", "ssn: 078051" + "120", "078051120"),
)

SECRETS = (
    *(Entry(kind, f"cannot use {token}, sorry", token) for kind, token in _TOKENS.items()),
    *map(Entry._make, _TEXTS),
)

NAMED = tuple(
    Named(key, f"plain-{number}-words")
    for number, key in enumerate(
        (
            "password", "DB_PASSWORD", "dbPassword", "user_passwd", "pwd", "client_secret", "secretKey", "api_key",
            "apikey", "X-Api-Key", "access_token", "refreshToken", "token", "auth_token", "credentials",
            "authorization", "Set-Cookie", "session", "session_id", "dsn", "connection_string", "private_key",
            "aws_access_key", "ssn", "card", "card_number", "cvv", "iban", "passphrase", "encryption_key", "smtp_pass",
            "jwt", "otp",
        )
    )
)  # fmt: skip

HARMLESS = (
    "node delay_model failed",
    "could not convert string to float: 'abc'",
    "KeyError: 'carrier'",
    "['arr_delay', 'dep_delay'] not in index",
    "list index out of range",
    "run finished: rows=336776 columns=19 duration=1.25s",
    "/data/flights/2013/01/part-00000.parquet",
    r"C:\Users\jane\flights.csv",
    "s3://bucket/prefix/2013-01-01/part-0001.parquet",
    "http://localhost:4318/v1/traces",
    "https://example.org:8443/path/x@1.2.3?page=2&size=50#top",
    "550e8400-e29b-41d4-a716-446655440000",
    "4f9a8d6e-0d1b-4c7e-9a60-2f1f5d3b7c11",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "00f067aa0ba902b7",
    "traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "1700000000000000000",
    "1700000000123",
    "1700000000.123456",
    "2013-01-01",
    "2013-01-01T05:15:00.123456+00:00",
    "2013-01-01 05:15:00,123 INFO started",
    "3.141592653589793",
    "0.4111111111111111",
    "-12345.678901234567",
    "6.02214076e+23",
    "10.0.0.12:8080",
    "fe80::1ff:fe23:4567:890a",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "version 1.45.0, commit a7a67ae, build 20240101",
    "git@github.com:apache/hamilton.git",
    "pip install sf-hamilton==1.89.0",
    "token_count=512 max_tokens=4096 tokens: 17",
    "tokenizer: bert-base-uncased",
    "keyboard=qwerty monkey: 3 turkey=1",
    "key=carrier primary_key: flight_id sort_key=date",
    "cache_key=4bf92f35 partition_key='2013'",
    "author: Jane, authority=none",
    "the bearer of basic information asked for authentication",
    "Basic statistics: mean 12.5, max 1301",
    "password=None, token=null",
    "has_password: True, password_length=12, token_type=access",
    "secretary: Jane; session_timeout=30; card_type=visa",
    "File \"/app/flights.py\", line 12, in delays\n    return frame['delay'] / 60\n",
    "def f(x: int = 3, y: str = 'a') -> dict[str, int]:",
    "lambda x: x if x > 3 else y == 5",
    "a::b::c <div>text</div> -> [1, 2, 3] {4: 5}",
    "{'carrier': 'UA', 'delay': [1, 2, None], 'on_time': True}",
    '{"carrier": "UA", "delay": [1, 2, null], "ratio": 0.5}',
    "order 4111111111111112 has no items",
    "phone 212-555-0123, ZIP 10001-1234, 123-45-678",
    "array([100, 20, 3000]) 123 45 6789",
    "GB00 is no country; DE1234 5678",
    "naïve café — 東京 ✓",
    "risk-free task-list disk-based sk-learn-based",
    "",
)
