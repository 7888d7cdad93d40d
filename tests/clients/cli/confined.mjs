// Loaded before a program (`node --import`): refuses every connection that leaves this machine, and writes down where it was to go.

import { appendFileSync } from 'node:fs';
import { Socket, isIP } from 'node:net';

const connect = Socket.prototype.connect;

Socket.prototype.connect = function confined(...args) {
    // Node's own layers pass the arguments as one array.
    const options = Array.isArray(args[0]) ? args[0][0] : args[0];
    const host = typeof options === 'object' ? (options.host ?? (options.path ? undefined : 'localhost')) : undefined;
    const isNear = host === undefined || host === 'localhost' || (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
    if (isNear) return connect.apply(this, args);
    appendFileSync(process.env.CONFINED_LOG, `${host}\n`);
    process.nextTick(() => this.destroy(new Error(`a connection to ${host} is refused by the test`)));
    return this;
};
