-- What decides about a push beside the device itself. The reason codes: r = read, p = push off, m = muted,
-- t = not mentioned, q = quiet hours.

-- Whether the app is open on a device. That takes a login, but no token: a desktop may have none.
local function opened(now, lease, code, packed)
  if code ~= 'n' then return code == 'f' end
  local f, l, b, k = string.match(packed, PRESENCE)
  return presence(now, lease, f, l, b, k) == 'f'
end

-- Why the user wants no push of a message; nothing where the user does, Z where nobody can tell before the quiet hours'
-- offset is renewed. option is the user's receive option for the conversation, where it counts.
local function unwanted(now, general, option, mentioned)
  if push_off(general) then return 'p' end
  option = option and string.match(option, '^%d')
  if option == '1' or option == '2' then return 'm' end
  if (option == '3' or option == '4') and not mentioned then return 't' end
  local is_quiet, renew = quiet(now, general)
  if renew then return renew end
  return is_quiet and 'q' or nil
end

-- A device's number as it goes out: 0 only where the app is just woken up, or where it takes a message off the icon.
local function visible(badge, kind, purpose)
  if badge == '0' and kind ~= 'background' and purpose ~= 'recall' then return '' end
  return badge
end
