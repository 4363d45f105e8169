"""Places in the network of a visitor; `{port}` stands for a port on the machine itself."""

METADATA_SERVICES = [
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:169.254.169.254]/latest",
    "https://[fd00:ec2::254]/latest",
    "https://100.100.100.200/latest",
    "https://168.63.129.16/",
    "https://[fe80::1]/",
]
INSIDE = [
    "https://10.0.0.1/x",
    "https://192.168.1.1/x",
    "https://172.16.0.1/x",
    "https://100.64.0.1/x",
    "https://[fd00::1]/x",
    "https://127.0.0.1:{port}/x",
    "https://[::1]/x",
    "https://localhost:{port}/x",
    "https://a.localhost:{port}/x",
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "https://2130706433:{port}/x",
    "https://0x7f.1:{port}/x",
    "https://0.0.0.0:{port}/x",
]
