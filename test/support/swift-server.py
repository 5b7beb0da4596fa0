"""
OpenStack Swift with its s3api in one process: proxy, account, container and object server, each on its own port of loopback, as
Swift's own functional tests run them. Everything lies in the folder that is given; nothing of /etc/swift is read.

    python3 swift-server.py FOLDER PROXY_PORT ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT
"""
import logging
import os
import sys
from time import time as now

import eventlet
import eventlet.wsgi

eventlet.monkey_patch()
logging.basicConfig(level=logging.ERROR)

folder, *ports = sys.argv[1:]
proxy, account, container, object_ = map(int, ports)
device = os.path.join(folder, 'devices', 'disk')
os.makedirs(device, exist_ok=True)


def write(name, text):
    with open(os.path.join(folder, name), 'w') as file:
        file.write(text)
    return os.path.join(folder, name)


write('swift.conf', '''[swift-hash]
swift_hash_path_prefix = sandbox
swift_hash_path_suffix = cache
[storage-policy:0]
name = only
default = yes
''')

from swift.common import utils  # noqa: E402

utils.set_swift_dir(folder)
utils.validate_configuration()

from swift.common import storage_policy  # noqa: E402

storage_policy.reload_storage_policies()

from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

for name, port in (('account', account), ('container', container), ('object', object_)):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'ip': '127.0.0.1', 'port': port, 'device': 'disk'})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, name + '.ring.gz'))

COMMON = '''[DEFAULT]
swift_dir = %s
devices = %s
mount_check = false
log_address = %s
log_level = ERROR
''' % (folder, os.path.join(folder, 'devices'), os.path.join(folder, 'no-syslog'))

STORAGE = COMMON + '''[pipeline:main]
pipeline = app
[app:app]
use = egg:swift#%s
recon_cache_path = ''' + folder + '\n'

PROXY = COMMON + '''[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth copy bulk slo dlo versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
dns_compliant_bucket_names = no
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
'''


class Cache:
    """In memcached's place, which Swift expects."""

    def __init__(self):
        self.values = {}

    def get(self, key, raise_on_error=False):
        value, end = self.values.get(key, (None, 0))
        return value if end == 0 or end > now() else None

    def set(self, key, value, serialize=True, time=0, min_compress_len=0, raise_on_error=False):
        self.values[key] = (value, now() + time if time else 0)

    def incr(self, key, delta=1, time=0):
        value = max(0, int(self.get(key) or 0) + delta)
        self.set(key, value, time=time)
        return value

    def decr(self, key, delta=1, time=0):
        return self.incr(key, -delta, time)

    def delete(self, key, server_key=None):
        self.values.pop(key, None)


cache = Cache()


def with_cache(app):
    def call(env, start_response):
        env['swift.cache'] = cache
        return app(env, start_response)
    return call


def serve(name, port, conf):
    app = with_cache(loadapp(write(name + '.conf', conf), global_conf={'log_statsd_host': ''}))
    socket = eventlet.listen(('127.0.0.1', port), backlog=512)
    return eventlet.spawn(eventlet.wsgi.server, socket, app, log_output=False, protocol=SwiftHttpProtocol, max_size=512)


servers = [serve(name, port, STORAGE % name) for name, port in (('account', account), ('container', container), ('object', object_))]
# Last: who can connect to it finds all of them.
servers.append(serve('proxy', proxy, PROXY))
for server in servers:
    server.wait()
