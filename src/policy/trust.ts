/** Who may assume a role: pods of an EKS cluster, in the two ways that EKS has. */
import { document, type PolicyDocument } from './statements.ts';

export interface ServiceAccount {
  namespace: string;
  name: string;
}

/**
 * IAM roles for service accounts.
 * @param provider ARN of the cluster's OIDC provider, e.g.
 *   `arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE`
 */
export function irsaTrust(provider: string, { namespace, name }: ServiceAccount): PolicyDocument {
  const issuer = provider.replace(/^.*:oidc-provider\//, '');
  return document([
    {
      Effect: 'Allow',
      Principal: { Federated: provider },
      Action: 'sts:AssumeRoleWithWebIdentity',
      Condition: {
        StringEquals: {
          [`${issuer}:sub`]: `system:serviceaccount:${namespace}:${name}`,
          [`${issuer}:aud`]: 'sts.amazonaws.com',
        },
      },
    },
  ]);
}

/** EKS Pod Identity. The agent in the cluster tags each session with the service account that it is for. */
export function podIdentityTrust({ namespace, name }: ServiceAccount): PolicyDocument {
  return document([
    {
      Effect: 'Allow',
      Principal: { Service: 'pods.eks.amazonaws.com' },
      Action: ['sts:AssumeRole', 'sts:TagSession'],
      Condition: {
        StringEquals: {
          'aws:RequestTag/kubernetes-namespace': namespace,
          'aws:RequestTag/kubernetes-service-account': name,
        },
      },
    },
  ]);
}
