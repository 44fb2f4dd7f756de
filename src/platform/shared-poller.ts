import { openPoller, type Poller, type Watch } from "./poller.ts";

/** The one poller of all sockets that have no other, open for as long as one of them is watched. */
const shared: { poller: Poller | undefined; watches: number } = { poller: undefined, watches: 0 };

/**
 * Watches a descriptor as `Poller.add` does.
 * @throws SystemError if there are no descriptors left
 */
export function watchShared(fd: number, onReadable: () => void): Watch {
  shared.poller ??= openPoller();
  const watch = shared.poller.add(fd, onReadable);
  shared.watches += 1;
  let isRemoved = false;
  return {
    arm: () => watch.arm(),
    remove() {
      if (isRemoved) return;
      isRemoved = true;
      watch.remove();
      if (--shared.watches > 0) return;
      shared.poller?.close();
      shared.poller = undefined;
    },
  };
}

/** The shared poller for those who take one; closing it is not theirs. */
export const sharedPoller: Poller = { add: watchShared, close: () => undefined };
