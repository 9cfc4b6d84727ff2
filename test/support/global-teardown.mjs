/** Stops what global-setup.mjs started. */
import { isRecording, keepRecord } from './costs.mjs';

export default async function teardown() {
  await globalThis.stopTestServers?.();
  if (isRecording) keepRecord();
}
