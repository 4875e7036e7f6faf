// What is on the screen. Nothing here knows about sockets or connections.

import { pieces } from './chat.js';
import { troubleText } from './e2ee.js';

export const $ = (id) => document.getElementById(id);
const SCREENS = ['start', 'lobby', 'call', 'ended'];
const TITLES = { chat: 'Chat', people: 'People', quality: 'Connection', settings: 'Settings' };
const TOAST_MS = 5000;
const HUES = 12;

/** Shows one of the screens. */
export function show(screen) {
  for (const id of SCREENS) $(id).hidden = id !== screen;
}

/** An element with text and attributes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A sentence that goes away by itself. */
export function toast(text) {
  const element = make('p', { class: 'toast' }, text);
  $('toasts').append(element);
  while ($('toasts').childElementCount > 4) $('toasts').firstElementChild.remove();
  setTimeout(() => element.remove(), TOAST_MS);
}

function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join('') || '?';
}

function paintAvatar(element, name, id) {
  element.textContent = initials(name);
  const sum = [...(id ?? name)].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7);
  element.dataset.hue = sum % HUES;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Marks the buttons of `kind` as on or off. */
export function paintToggle(kind, { on, problem }) {
  const word = kind === 'audio' ? 'microphone' : 'camera';
  const icon = kind === 'audio' ? 'mic' : 'cam';
  for (const button of document.querySelectorAll(`[data-toggle="${kind}"]`)) {
    button.setAttribute('aria-pressed', String(!on));
    button.classList.toggle('trouble', Boolean(problem));
    button.title = problem ?? `Turn the ${word} ${on ? 'off' : 'on'}${kind === 'audio' ? ' (m)' : ' (v)'}`;
    button.querySelector('.sr').textContent = `Turn the ${word} ${on ? 'off' : 'on'}`;
    button.querySelector('use').setAttribute('href', `#i-${icon}${on ? '' : '-off'}`);
  }
}

/** Our own picture, small in the corner or large while we are alone. */
export function paintSelf({ name, id, stream, audio, video, alone }) {
  const tile = $('self');
  const element = $('self-video');
  const picture = video ? stream : null;
  if (element.srcObject !== picture) element.srcObject = picture;
  tile.classList.toggle('no-picture', !video);
  tile.classList.toggle('muted-audio', !audio);
  tile.classList.toggle('alone', alone);
  setText(tile.querySelector('.name'), name ? `${name} (you)` : 'You');
  paintAvatar(tile.querySelector('.avatar'), name || 'You', id);
  $('waiting').hidden = !alone;
}

const STATUS = { new: 'Connecting…', connecting: 'Connecting…', disconnected: 'Reconnecting…', failed: 'Reconnecting…' };

/** The pictures of the others. */
export class Tiles {
  /** Whether we encrypt end to end. */
  encrypting = false;
  #tiles = new Map();
  #onBlocked;
  #onFirstFrame;
  #sinkId = '';

  constructor({ onBlocked, onFirstFrame }) {
    this.#onBlocked = onBlocked;
    this.#onFirstFrame = onFirstFrame;
  }

  /** One tile for each member, in their order. */
  sync(members) {
    const ids = new Set(members.map(({ id }) => id));
    for (const [id, tile] of this.#tiles) {
      if (ids.has(id)) continue;
      tile.querySelector('video').srcObject = null;
      tile.remove();
      this.#tiles.delete(id);
    }
    for (const member of members) {
      if (!this.#tiles.has(member.id)) this.#add(member);
      this.paint(member);
    }
    $('tiles').dataset.count = Math.min(members.length, 9);
  }

  paint(member) {
    const tile = this.#tiles.get(member.id);
    if (!tile) return;
    const { peer } = member;
    const video = tile.querySelector('video');
    const hasVideo = peer.stream.getVideoTracks().some((track) => !track.muted) && !member.muted.has('video') && !peer.locked.has('video');
    tile.classList.toggle('no-picture', !hasVideo);
    tile.classList.toggle('muted-audio', member.muted.has('audio'));
    setText(tile.querySelector('.name'), member.name);
    const elsewhere = member.byHttp && peer.state === 'new';
    const locked = peer.locked.size > 0 ? troubleText(this.encrypting, peer.encrypted) : '';
    setText(tile.querySelector('.status'), elsewhere ? 'Connected with another member' : (STATUS[peer.state] ?? locked));
    paintAvatar(tile.querySelector('.avatar'), member.name, member.id);
    video.setAttribute('aria-label', `Picture of ${member.name}`);
    for (const track of peer.stream.getTracks()) track.onmute = track.onunmute = () => this.paint(member);
    if (video.srcObject !== peer.stream) video.srcObject = peer.stream;
    if (peer.stream.getTracks().length > 0 && video.paused) this.#play(video);
  }

  /** Connection quality and who is speaking. */
  quality(id, { quality, audioLevel, rttMs }) {
    const tile = this.#tiles.get(id);
    if (!tile) return;
    const bars = tile.querySelector('.bars');
    bars.dataset.quality = quality;
    const text = `Connection: ${quality}${rttMs === null ? '' : `, ${Math.round(rttMs)} ms`}`;
    bars.setAttribute('aria-label', text);
    bars.setAttribute('title', text);
    tile.classList.toggle('speaking', audioLevel > 0.02 && !tile.classList.contains('muted-audio'));
  }

  /** Sound to another loudspeaker. */
  async speaker(sinkId) {
    this.#sinkId = sinkId;
    await Promise.all([...this.#videos()].map((video) => video.setSinkId?.(sinkId)));
  }

  /** Plays again what the browser held back, now that somebody clicked. */
  unblock() {
    for (const video of this.#videos()) {
      video.muted = false;
      video.play().catch(() => {});
    }
  }

  video(id) {
    return this.#tiles.get(id)?.querySelector('video') ?? null;
  }

  *#videos() {
    for (const tile of this.#tiles.values()) yield tile.querySelector('video');
  }

  #add(member) {
    const tile = $('tile-template').content.firstElementChild.cloneNode(true);
    tile.dataset.peer = member.id;
    const video = tile.querySelector('video');
    if (this.#sinkId) video.setSinkId?.(this.#sinkId).catch(() => {});
    const first = () => this.#onFirstFrame(member);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    else video.addEventListener('loadeddata', first, { once: true });
    tile.addEventListener('dblclick', () => (document.fullscreenElement ? document.exitFullscreen() : tile.requestFullscreen?.()));
    $('tiles').append(tile);
    this.#tiles.set(member.id, tile);
  }

  #play(video) {
    video.play().catch((error) => {
      if (error.name !== 'NotAllowedError') return;
      video.muted = true; // the picture at least
      video.play().catch(() => {});
      this.#onBlocked();
    });
  }
}

/** The panel beside the pictures: at most one pane open. */
export class Panel {
  open = null;
  #onOpen;

  constructor(onOpen) {
    this.#onOpen = onOpen;
    for (const button of document.querySelectorAll('[data-pane]')) {
      button.onclick = () => this.toggle(button.dataset.pane);
      button.title = TITLES[button.dataset.pane];
    }
    $('panel-close').onclick = () => this.toggle(this.open);
    $('panel').addEventListener('keydown', (event) => event.key === 'Escape' && this.toggle(this.open));
  }

  toggle(pane) {
    const before = this.open;
    this.open = before === pane ? null : pane;
    $('panel').hidden = this.open === null;
    $('call').classList.toggle('with-panel', this.open !== null);
    for (const name of Object.keys(TITLES)) $(`pane-${name}`).hidden = name !== this.open;
    for (const button of document.querySelectorAll('[data-pane]')) {
      button.setAttribute('aria-expanded', String(button.dataset.pane === this.open));
    }
    if (this.open) {
      setText($('panel-title'), TITLES[this.open]);
      this.#onOpen(this.open);
      (this.open === 'chat' ? $('chat-text') : $('panel-close')).focus();
    } else {
      document.querySelector(`[data-pane="${before}"]`)?.focus();
    }
  }
}

/** The list of members; `moderator` shows what a moderator may do. */
export function paintPeople(me, members, { moderator, onMute, onKick }) {
  const row = (person) => {
    const item = $('person-template').content.firstElementChild.cloneNode(true);
    item.dataset.peer = person.id;
    paintAvatar(item.querySelector('.avatar'), person.name, person.id);
    setText(item.querySelector('.name'), person.name);
    setText(item.querySelector('.note'), person.note);
    for (const badge of item.querySelectorAll('.badge')) {
      badge.classList.toggle('shown', person.muted.has(badge.dataset.badge));
      if (!person.muted.has(badge.dataset.badge)) badge.setAttribute('aria-hidden', 'true');
    }
    const [mute, kick] = [item.querySelector('.act-mute'), item.querySelector('.act-kick')];
    mute.hidden = person.own || !moderator || person.muted.has('audio');
    kick.hidden = person.own || !moderator;
    mute.setAttribute('aria-label', `Mute ${person.name}`);
    kick.setAttribute('aria-label', `Remove ${person.name}`);
    mute.onclick = () => onMute(person);
    kick.onclick = () => onKick(person);
    return item;
  };
  $('people').replaceChildren(row(me), ...members.map(row));
  $('head-count').textContent = members.length + 1;
  $('head-count').hidden = members.length === 0;
}

/** One more line of chat. */
export function addChatLine({ name, text, own, at }) {
  const log = $('chat-log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const body = make('span', { class: 'text' });
  for (const piece of pieces(text)) {
    body.append(piece.href ? make('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer' }, piece.text) : piece.text);
  }
  const when = new Date(at);
  const time = make('time', { datetime: when.toISOString() }, when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  log.append(make('li', { class: own ? 'line own' : 'line' }, make('span', { class: 'from' }, own ? 'You' : name, ' ', time), body));
  while (log.childElementCount > 500) log.firstElementChild.remove();
  if (own || atEnd) log.scrollTop = log.scrollHeight;
}

const DEVICE_WORDS = { audio: 'Microphone', video: 'Camera', speaker: 'Loudspeaker' };

/** The device pickers of lobby and settings. */
export function paintDevices(devices, chosen, onChoose) {
  for (const box of document.querySelectorAll('[data-devices]')) {
    box.replaceChildren();
    for (const [kind, list] of Object.entries(devices)) {
      if (list.length === 0) continue;
      const label = $('devices-template').content.firstElementChild.cloneNode(true);
      label.querySelector('.device-label').textContent = DEVICE_WORDS[kind];
      const select = label.querySelector('select');
      for (const { deviceId, label: text } of list) select.append(make('option', { value: deviceId }, text));
      if (list.some(({ deviceId }) => deviceId === chosen(kind))) select.value = chosen(kind);
      select.onchange = () => onChoose(kind, select.value);
      box.append(label);
    }
  }
}

const known = (value, unit, digits = 0) => (value === null || value === undefined ? '–' : `${value.toFixed(digits)}${unit}`);

function pictureText(picture) {
  if (!picture || !picture.codec) return 'none';
  const size = picture.width ? `${picture.width}×${picture.height}` : '';
  return [picture.codec, size, known(picture.fps, ' fps'), known(picture.kbps, ' kbit/s')].filter(Boolean).join(' · ');
}

function soundText(sound) {
  return sound?.codec ? `${sound.codec} · ${known(sound.kbps, ' kbit/s')}` : 'none';
}

/** The figures of every connection. */
export function paintQuality(members) {
  const seen = members.filter(({ figures }) => figures);
  $('quality-none').hidden = seen.length > 0;
  $('quality').replaceChildren(
    ...seen.map(({ name, figures }) => {
      const rows = [
        ['Connection', figures.quality],
        ['Round trip', known(figures.rttMs, ' ms')],
        ['Loss', known(figures.lossPercent, ' %', 1)],
        ['Jitter', known(figures.jitterMs, ' ms')],
        ['Picture from them', pictureText(figures.receive.video)],
        ['Picture to them', pictureText(figures.send.video)],
        ['Sound from them', soundText(figures.receive.audio)],
        ['Sound to them', soundText(figures.send.audio)],
        ['Freezes', String(figures.freezes)],
        ['Path', figures.path ?? '–'],
      ];
      const list = make('dl', {}, ...rows.flatMap(([term, value]) => [make('dt', {}, term), make('dd', {}, value)]));
      return make('section', { class: 'figures', 'data-quality': figures.quality }, make('h3', {}, name), list);
    }),
  );
}
