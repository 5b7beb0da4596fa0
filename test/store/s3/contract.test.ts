import { availableServers, describeEachServer } from '../../support/servers.ts';
import { describeStoreContract } from '../contract.ts';
import { createS3Subject } from './subject.ts';

describeEachServer(await availableServers(), (target) => {
  describeStoreContract(() => createS3Subject(target()));
});
