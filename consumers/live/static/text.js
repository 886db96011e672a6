// Numbers and times -> texts of the page.

const COUNT = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const TICK = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const MONEY = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const UNKNOWN = "not known yet";
const OLD_MS = 15000; // older numbers show their time

export const count = (n) => COUNT.format(n);
export const compact = (n) => (n < 10000 ? COUNT.format(n) : COMPACT.format(n));
export const tick = (n) => TICK.format(n); // exact, because two ticks must not look alike
export const money = (n) => MONEY.format(n);
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const minute = (ms) => new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
export const isOld = (ms, now) => now - ms > OLD_MS;
export const asOf = (ms, now, text) => (isOld(ms, now) ? `${text}; as of ${clock(ms)}` : text);
export const plural = (n, one, many) => `${COUNT.format(n)} ${n === 1 ? one : many}`;

export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds === 0) return "0 s";
  if (seconds < 9.95) return `${seconds.toFixed(seconds < 0.095 ? 2 : 1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${COUNT.format(Math.round(seconds / 86400))} days`;
}

export function rate(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond < 10 ? perSecond.toFixed(perSecond < 0.1 ? 2 : 1) : COUNT.format(Math.round(perSecond));
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  const unit = Math.min(3, Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** unit).toFixed(n / 1000 ** unit < 10 ? 1 : 0)} ${["B", "kB", "MB", "GB"][unit]}`;
}

export function percent(part, whole) {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  return `${share >= 10 || share === 0 ? Math.round(share) : share.toFixed(1)}%`;
}

// 2026-01-31 08:00:00, by the reader's clock, as all times of the page.
export const moment = (ms) => new Date(ms).toLocaleString("sv-SE");
