import { loadConfig } from '@smithy/core/config';

/**
 * A profile's region and endpoint: the SDK would ask the instance metadata service next, and then give up.
 * And the file with its token, which the SDK reads by itself.
 */
export async function readProfile(
  profile: string | undefined,
): Promise<{ region?: string; endpoint?: string; tokenFile?: string }> {
  const shared = profile === undefined ? {} : { profile };
  const read = (
    pick: (section: Record<string, string | undefined>, services: string | undefined) => string | undefined,
  ) =>
    loadConfig<string | undefined>(
      {
        environmentVariableSelector: () => undefined,
        configFileSelector: (section, config) => {
          const services =
            section['services'] === undefined ? undefined : config?.[`services.${section['services']}`];
          return pick(section, services?.['s3.endpoint_url']);
        },
        default: undefined,
      },
      shared,
    )().catch(() => undefined);
  const [region, endpoint, ignored, tokenFile] = await Promise.all([
    read((section) => section['region']),
    read((section, s3) => s3 ?? section['endpoint_url']),
    read((section) => section['ignore_configured_endpoint_urls']),
    read((section) => section['web_identity_token_file']),
  ]);
  return {
    ...(region === undefined || region === '' ? {} : { region }),
    ...(endpoint === undefined || endpoint === '' || ignored === 'true' ? {} : { endpoint }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
  };
}
