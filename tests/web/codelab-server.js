'use strict';

// A server for two as a reader of the codelab writes it, on the real Socket.IO: node codelab-server.js 2|4. It says its port, and
// ends with its input.

const major = Number(process.argv[2]);
const http = require('http').createServer((_, answer) => {
  answer.statusCode = 404;
  answer.end();
});
const io = require(`socket.io-${major}`)(http);

const members = (room) => {
  const { rooms } = io.sockets.adapter;
  return (major < 3 ? rooms[room]?.length : rooms.get(room)?.size) ?? 0;
};

io.sockets.on('connection', (socket) => {
  // To everybody on the site, as there.
  socket.on('message', (message) => socket.broadcast.emit('message', message));
  socket.on('create or join', (room) => {
    const inside = members(room);
    socket.emit('log', ['Message from server:', `${room} has ${inside} client(s)`]);
    if (inside === 0) {
      socket.join(room);
      socket.emit('created', room, socket.id);
    } else if (inside === 1) {
      io.sockets.in(room).emit('join', room);
      socket.join(room);
      socket.emit('joined', room, socket.id);
      io.sockets.in(room).emit('ready');
    } else {
      socket.emit('full', room);
    }
  });
});

http.listen(0, '127.0.0.1', () => console.log(http.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
