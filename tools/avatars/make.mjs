// Renders the avatars dataset: N cartoon faces, 64x64 RGB, with every attribute sampled by a seeded generator.
//   npm install
//   node make.mjs OUT [N]        writes OUT/images.u8 (N*64*64*3 bytes) and OUT/attributes.csv; pack.py turns them into the npz files
import { createAvatar } from '@dicebear/core';
import * as avataaars from '@dicebear/avataaars';
import { Resvg } from '@resvg/resvg-js';
import sharp from 'sharp';
import fs from 'node:fs';
import { createHash } from 'node:crypto';

const SIZE = 64, RENDER = 256, SEED = 20240917;

// our name -> DiceBear's name or colour
const HAIR = {
  none:   { bald: null },
  short:  { balding: 'sides', crew_cut: 'shortFlat', round_cut: 'shortRound', waved: 'shortWaved', short_curly: 'shortCurly', side_part: 'theCaesarAndSidePart', short_dreads: 'dreads01', spiky: 'dreads02', quiff: 'frizzle', shaggy: 'shaggy' },
  medium: { bun: 'bun', mullet: 'shaggyMullet', bob: 'bob', fringe_bob: 'miaWallace', shoulder: 'longButNotTooLong', curly: 'curly', afro: 'fro' },
  long:   { straight: 'straight01', straight_fringe: 'straightAndStrand', straight_centre: 'straight02', wavy: 'curvy', dreads: 'dreads', shaved_sides: 'shavedSides' },
};
const LENGTH = Object.fromEntries(Object.entries(HAIR).flatMap(([len, m]) => Object.keys(m).map(k => [k, len])));
const TOP = {
  ...Object.assign({}, ...Object.values(HAIR)),
  hat: 'hat', beanie: 'winterHat03', cat_beanie: 'winterHat04', ear_flaps: 'winterHat1', knit_cap: 'winterHat02',
};
const HEADWEAR = ['hat', 'beanie', 'cat_beanie', 'ear_flaps', 'knit_cap'];
const HAIR_COLOR = { black: '2c1b18', brown: '724133', auburn: 'a55728', red: 'c93305', blonde: 'd6b370', platinum: 'ecdcbf', grey: 'e8e1e1', pink: 'f59797' };
const SKIN = { pale: 'ffdbb4', light: 'edb98a', tan: 'd08b5b', brown: 'ae5d29', dark: '614335' };
const MOUTH = { open_smile: 'smile', small_smile: 'twinkle', chuckle: 'default', tongue: 'tongue', serious: 'serious', sad: 'sad', grimace: 'grimace', shout: 'screamOpen' };
const SMILES = ['open_smile', 'small_smile', 'chuckle', 'tongue'];
const EYES = { open: 'default', happy: 'happy', closed: 'closed', wink: 'wink', side: 'side', wide: 'surprised', rolling: 'eyeRoll', hearts: 'hearts' };
const BROWS = { neutral: 'defaultNatural', flat: 'flatNatural', angry: 'angryNatural', raised: 'raisedExcitedNatural', worried: 'sadConcernedNatural' };
const GLASSES = { round: 'round', square: 'prescription02', sunglasses: 'wayfarers', big_shades: 'kurt' };
const GLASSES_COLOR = { black: '262e33', red: 'ff5c5c', blue: '25557c' };
const BEARD = { light_beard: 'beardLight', medium_beard: 'beardMedium', full_beard: 'beardMajestic', moustache: 'moustacheMagnum', curled_moustache: 'moustacheFancy' };
const CLOTHES = { crew_neck: 'shirtCrewNeck', scoop_neck: 'shirtScoopNeck', v_neck: 'shirtVNeck', hoodie: 'hoodie', overall: 'overall', collar_sweater: 'collarAndSweater', blazer_shirt: 'blazerAndShirt', blazer_sweater: 'blazerAndSweater' };
const CLOTH_COLOR = { black: '262e33', grey: '929598', white: 'ffffff', blue: '5199e4', green: 'a7ffc4', yellow: 'ffffb1', pink: 'ffafb9', red: 'ff5c5c' };
const BACKGROUND = { sky: 'b6e3f4', lilac: 'c0aede', rose: 'ffd5dc', peach: 'ffdfbf', mint: 'c8f0d2', cream: 'fdf6e3' };

let state = SEED >>> 0; // mulberry32
const rand = () => {
  let t = (state = (state + 0x6d2b79f5) >>> 0);
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = o => { const k = Array.isArray(o) ? o : Object.keys(o); return k[Math.floor(rand() * k.length)]; };

// Independent and uniform, except three that are first 'none' or not: headwear 1/4, glasses 1/2, facial hair 1/2.
function draw() {
  const headwear = rand() < 0.25 ? pick(HEADWEAR) : 'none';
  const hair = pick(LENGTH);
  const glasses = rand() < 0.5 ? pick(GLASSES) : 'none';
  const facial_hair = rand() < 0.5 ? pick(BEARD) : 'none';
  const mouth = pick(MOUTH);
  const a = {
    smiling: +SMILES.includes(mouth), mouth, eyes: pick(EYES), eyebrows: pick(BROWS),
    glasses, glasses_color: pick(GLASSES_COLOR), facial_hair, headwear, hat_color: pick(CLOTH_COLOR),
    hair, hair_length: LENGTH[hair], hair_color: pick(HAIR_COLOR), skin: pick(SKIN),
    clothing: pick(CLOTHES), clothes_color: pick(CLOTH_COLOR), background: pick(BACKGROUND),
  };
  if (glasses === 'none') a.glasses_color = 'none';
  if (headwear === 'none') a.hat_color = 'none';
  else a.hair = a.hair_length = 'hidden';
  if (a.hair === 'bald' || a.hair === 'hidden') if (facial_hair === 'none') a.hair_color = 'none';
  return a;
}

function svg(a) {
  const top = TOP[a.headwear !== 'none' ? a.headwear : a.hair];
  const hair = HAIR_COLOR[a.hair_color] ?? '000000';
  return createAvatar(avataaars, {
    seed: 'x', scale: 122, translateY: 8, backgroundColor: [BACKGROUND[a.background]], skinColor: [SKIN[a.skin]],
    top: top ? [top] : [], topProbability: top ? 100 : 0, hairColor: [hair], hatColor: [CLOTH_COLOR[a.hat_color] ?? '000000'],
    mouth: [MOUTH[a.mouth]], eyes: [EYES[a.eyes]], eyebrows: [BROWS[a.eyebrows]],
    accessories: a.glasses === 'none' ? [] : [GLASSES[a.glasses]], accessoriesProbability: a.glasses === 'none' ? 0 : 100, accessoriesColor: [GLASSES_COLOR[a.glasses_color] ?? '000000'],
    facialHair: a.facial_hair === 'none' ? [] : [BEARD[a.facial_hair]], facialHairProbability: a.facial_hair === 'none' ? 0 : 100, facialHairColor: [hair],
    clothing: [CLOTHES[a.clothing]], clothesColor: [CLOTH_COLOR[a.clothes_color]],
  }).toString();
}

const [out, n = '30000'] = process.argv.slice(2);
if (!out || !(Number.isInteger(+n) && +n > 0)) {
  console.error('Say where to, and how many faces if not 30000: node make.mjs OUT [N]');
  process.exit(1);
}
fs.mkdirSync(out, { recursive: true });
sharp.concurrency(1);
const images = fs.openSync(`${out}/images.u8`, 'w'), rows = [], seen = new Set();
while (rows.length < +n) {
  const a = draw();
  const big = new Resvg(svg(a), { fitTo: { mode: 'width', value: RENDER }, font: { loadSystemFonts: false } }).render();
  const small = await sharp(big.pixels, { raw: { width: RENDER, height: RENDER, channels: 4 } }).removeAlpha().resize(SIZE, SIZE, { kernel: 'lanczos3' }).raw().toBuffer();
  if (small.length !== SIZE * SIZE * 3) throw new Error('bad size');
  const key = createHash('sha1').update(small).digest('hex');
  if (seen.has(key)) continue; // no picture twice
  seen.add(key);
  fs.writeSync(images, small);
  if (!rows.length) rows.head = Object.keys(a);
  rows.push(Object.values(a).join());
  if (rows.length % 1000 === 0) console.log(`${rows.length} of ${n}`);
}
fs.closeSync(images);
fs.writeFileSync(`${out}/attributes.csv`, [rows.head.join(), ...rows, ''].join('\n'));
