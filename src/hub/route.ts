// Where a frame goes: the index of a port, or one of these. Drop code c is DROPPED - c.

/** A MAC that is not known. */
export const FLOOD = -1;
export const FLOOD_GROUP = -2;
/** A check has taken the frame, or there was none yet. */
export const NOWHERE = -3;
/** To the hub's own station. */
export const STATION = -5;
export const DROPPED = -16;
