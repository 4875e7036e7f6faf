// A page without a browser: one socket.io-client of a given major version, told what to do on standard input.
//
//   node client.js MAJOR TRANSPORT URL
//
// Each line in is an array: ["emit", event, ...arguments], ["ask", event, ...arguments] with a callback, ["close"].
// Each line out is an array: ["connect", id], ["disconnect", reason], ["failed", reason], ["event", name, ...arguments],
// ["answer", ...arguments]. TRANSPORT is websocket, polling, or both, which begins with polling and upgrades.
'use strict';

const readline = require('node:readline');

const [major, transport, url] = process.argv.slice(2);
const connect = require(`socket.io-client-${major}`);
const transports = transport === 'both' ? ['polling', 'websocket'] : [transport];

const say = (...words) => process.stdout.write(`${JSON.stringify(words)}\n`);

const socket = connect(url, { transports, reconnection: false, forceNew: true });

socket.on('connect', () => say('connect', socket.id));
socket.on('disconnect', (reason) => say('disconnect', String(reason)));
socket.on('connect_error', (error) => say('failed', String(error.message ?? error)));
socket.io.on('upgrade', () => say('upgraded'));
socket.io.engine?.on('upgrade', () => say('upgraded'));

if (major === '4') {
  socket.onAny((...words) => say('event', ...words));
} else {
  // Clients of 1.x and 2.x have no ear for everything; all that comes goes through here.
  const onevent = socket.onevent;
  socket.onevent = function (packet) {
    say('event', ...packet.data);
    onevent.call(this, packet);
  };
}

const input = readline.createInterface({ input: process.stdin });
input.on('line', (line) => {
  const [what, ...words] = JSON.parse(line);
  if (what === 'emit') socket.emit(...words);
  else if (what === 'ask') socket.emit(...words, (...answer) => say('answer', ...answer));
  else if (what === 'close') socket.close();
});
input.on('close', () => process.exit());
