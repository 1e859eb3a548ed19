// Random names. crypto.randomUUID is there on https and on the machine itself only; getRandomValues everywhere.

/** 32 random hexadecimal digits. */
export const randomName = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
