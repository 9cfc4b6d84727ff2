/** A person without a pointer: goes by Tab, and looks at each stop whether the focus is seen, uncovered, and large enough to be hit by others. */
import { expect } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';

const STOPS_MAX = 120;

export type Keyboard = {
  press(key: string): Promise<void>;
  type(text: string): Promise<void>;
  /** By Tab, as far as it takes. */
  goTo(target: Locator): Promise<void>;
  /** By Shift and Tab. */
  goBackTo(target: Locator): Promise<void>;
  /** Of the element that has the focus: its text, or what it is called. */
  focused(): Promise<string>;
};

export function keyboardOf(page: Page): Keyboard {
  const goTo = async (target: Locator, key: string) => {
    await target.waitFor();
    const stops: string[] = [];
    while (stops.length < STOPS_MAX) {
      await page.keyboard.press(key);
      expect(await page.evaluate<string[]>(FAULTS)).toEqual([]);
      if ((await target.and(page.locator(':focus')).count()) > 0) return;
      stops.push(await page.evaluate<string>(FOCUSED));
    }
    throw new Error(`${STOPS_MAX} times ${key} do not lead to ${target}, but to ${stops.join('; ')}`);
  };
  return {
    press: (key) => page.keyboard.press(key),
    type: (text) => page.keyboard.type(text),
    goTo: (target) => goTo(target, 'Tab'),
    goBackTo: (target) => goTo(target, 'Shift+Tab'),
    focused: () => page.evaluate(FOCUSED),
  };
}

const FOCUSED = `(() => {
  const at = document.activeElement;
  return at === null || at === document.body ? 'nothing' : (at.getAttribute('aria-label') ?? at.id ?? '') || at.innerText;
})()`;

/**
 * WCAG 2.2: 2.4.7, 2.4.11 and 2.5.8 of the element that has the focus. A link within a line of text is as high as that; axe knows of those.
 */
const FAULTS = `(() => {
  const at = document.activeElement;
  if (at === null || at === document.body) return [];
  const faults = [];
  const tell = (what) => faults.push(what + ': ' + at.outerHTML.slice(0, 120));
  const style = getComputedStyle(at);
  if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) tell('the focus is not seen');
  const { left, right, top, bottom, width, height } = at.getBoundingClientRect();
  const [fromX, toX, fromY, toY] = [Math.max(left, 0), Math.min(right, innerWidth), Math.max(top, 0), Math.min(bottom, innerHeight)];
  if (fromX >= toX || fromY >= toY) tell('the focus is out of sight');
  else {
    const over = document.elementFromPoint((fromX + toX) / 2, (fromY + toY) / 2);
    if (over && !at.contains(over) && !over.contains(at)) tell('the focus is covered by ' + over.outerHTML.slice(0, 80));
  }
  if (style.display !== 'inline' && (width < 24 || height < 24)) tell('it is ' + Math.round(width) + ' by ' + Math.round(height) + ' px');
  return faults;
})()`;
