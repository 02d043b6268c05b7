package registry

import (
	"strconv"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// serviceMark and voipMark are how the packed record of a device says what most devices don't have: the one follows the
// platform, the other stands between the token and the VoIP token. Neither occurs in a platform or a token.
const (
	serviceMark = "+"
	voipMark    = "\x1d"
)

// parseBinding reads version, platform, credential, language and tokens.
func parseBinding(packed string) (push.Binding, bool) {
	version, rest, _ := strings.Cut(packed, unit)
	platform, rest, _ := strings.Cut(rest, unit)
	credential, rest, _ := strings.Cut(rest, unit)
	language, tokens, ok := strings.Cut(rest, unit)
	platform, service := strings.CutSuffix(platform, serviceMark)
	token, voip, _ := strings.Cut(tokens, voipMark)
	n, err := strconv.ParseInt(version, 10, 64)
	return push.Binding{
		Platform: push.Platform(platform), Token: token, Credential: credential, Language: language, Version: n,
		VoIPToken: voip, Service: service,
	}, ok && err == nil
}

// packPlatform and packTokens are the inverse, for the scripts.
func packPlatform(b *push.Binding) string {
	if b.Service {
		return string(b.Platform) + serviceMark
	}
	return string(b.Platform)
}

func packTokens(b *push.Binding) string {
	if b.VoIPToken != "" {
		return b.Token + voipMark + b.VoIPToken
	}
	return b.Token
}
