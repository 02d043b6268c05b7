-- A claim is a list of entries, one a content, with file separators between them:
--   content, origin, record time (ms), MsgTime, other content seen (0|1), sound, decision.
-- The decision is, per device with record separators between: reason code and badge, colon, id.
local CLAIM = '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31([01])\31([^\31]*)\31(.*)$'
