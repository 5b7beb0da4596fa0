import { BlockList, isIP } from 'node:net';

/**
 * Whether `NO_PROXY` exempts a host, as curl reads it: a name matches itself and its subdomains, a leading
 * dot makes no difference, `*` matches all. An address also matches the network that it is in. Sample value:
 * `localhost,.corp.example,10.0.0.0/8,[fd00::1]:9000`
 */
export function bypassesProxy(host: string, noProxy: string | undefined): boolean {
  const wanted = host.toLowerCase();
  const rules = (noProxy ?? '').toLowerCase().split(/[\s,]+/);
  return rules.some(
    (rule) => rule === '*' || (rule.includes('/') ? isWithin(wanted, rule) : isNamed(wanted, rule)),
  );
}

function isNamed(host: string, rule: string): boolean {
  if (isIP(rule) === 6) return host === rule;
  const name = rule
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/^\*?\./, '');
  return name !== '' && (host === name || host.endsWith(`.${name}`));
}

/** Sample values: `10.1.2.3`, `10.0.0.0/8`. */
function isWithin(host: string, network: string): boolean {
  const [, address = '', bits = ''] = /^\[?([^\]/]+)\]?\/(\d{1,3})$/.exec(network) ?? [];
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(address, Number(bits), kind);
  return list.check(host, kind);
}
