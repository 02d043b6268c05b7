package config

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// block is a section that its platform decodes.
type block struct {
	path    string
	section map[string]any // nil = absent
}

// Path implements [push.Block].
func (b block) Path() string { return b.path }

// Decode implements [push.Block].
func (b block) Decode(v any) error {
	if len(b.section) == 0 {
		return nil
	}
	return decode(b.path, b.section, v)
}

// takeBlock takes the block at key out of its section; path is where it stands in the file.
func takeBlock(section map[string]any, key, path string, mistakes *mistakes) block {
	return block{path: path, section: takeSection(section, key, path, mistakes)}
}

// takeSection takes what stands at key out of a section. A key that is absent or has no value yields nil.
func takeSection(section map[string]any, key, path string, mistakes *mistakes) map[string]any {
	value := section[key]
	delete(section, key)
	taken, ok := value.(map[string]any)
	if !ok && value != nil {
		mistakes.add(path, "expected a section of keys")
	}
	return taken
}

// takeApps takes the apps out of the whole tree.
func takeApps(tree map[string]any, platforms []push.Platform, mistakes *mistakes) map[string]App {
	section := takeSection(tree, "apps", "apps", mistakes)
	apps := make(map[string]App, len(section))
	for _, name := range sortedKeys(section) {
		path := join("apps", name)
		checkID(path, name, mistakes)
		rate := 0
		if len(section) > 1 {
			rate = sharedRate
		}
		apps[name] = takeApp(takeSection(section, name, path, mistakes), path, rate, platforms, mistakes)
	}
	if len(apps) == 0 {
		mistakes.add("apps", "at least one app is needed")
	}
	return apps
}

// takeApp takes one app; rate is its rate where it names none.
func takeApp(section map[string]any, path string, rate int, platforms []push.Platform, mistakes *mistakes) App {
	app := App{
		ForegroundSilences: SilencesDevice, Rate: rate, ServiceWait: defaultServiceWait, Callback: defaultCallback(),
		Credentials: make(map[string]Credential), platforms: make(map[push.Platform]block),
	}
	for _, p := range platforms {
		app.platforms[p] = takeBlock(section, string(p), join(path, string(p)), mistakes)
	}
	credentialsPath := join(path, "credentials")
	credentials := takeSection(section, "credentials", credentialsPath, mistakes)
	for _, name := range sortedKeys(credentials) {
		path := join(credentialsPath, name)
		checkID(path, name, mistakes)
		app.Credentials[name] = takeCredential(takeSection(credentials, name, path, mistakes), path, platforms, mistakes)
	}
	before := len(*mistakes)
	mistakes.join(decode(path, section, &app))
	if len(*mistakes) == before {
		app.check(mistakes, path)
	}
	return app
}

const (
	defaultServiceWait = 10 * time.Second
	maxServiceWait     = time.Hour // a fallback that comes later helps nobody
	maxRate            = 1_000_000

	// sharedRate is the rate of an app beside others: an eighth of what a process is built for, so that no app's flood
	// stands before the others' messages.
	sharedRate = 1000
)

// check notes what is out of its range; path is the app's.
func (a App) check(m *mistakes, path string) {
	oneOf(m, join(path, "foreground_silences"), a.ForegroundSilences, SilencesDevice, SilencesUser)
	if a.Rate < 0 || a.Rate > maxRate {
		m.add(join(path, "rate"), "expected 0 for no limit, or at most %d", maxRate)
	}
	a.Callback.check(m, join(path, "callback"))
	if a.ServiceWait < time.Second || a.ServiceWait > maxServiceWait {
		m.add(join(path, "service_wait"), "expected from 1s to %s", maxServiceWait)
	}
}

func takeCredential(section map[string]any, path string, platforms []push.Platform, mistakes *mistakes) Credential {
	platform, _ := section["platform"].(string)
	delete(section, "platform")
	if !slices.Contains(platforms, push.Platform(platform)) {
		mistakes.add(join(path, "platform"), "expected one of %s", list(platforms))
	}
	return Credential{Platform: push.Platform(platform), block: block{path: path, section: section}}
}

// maxID is how long the name of an app, a user, a device or a group may be, in bytes.
const maxID = 128

func checkID(path, id string, mistakes *mistakes) {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		mistakes.add(path, "a name has 1 to %d bytes of UTF-8 without control characters", maxID)
	}
}

func sortedKeys(m map[string]any) []string {
	return slices.Sorted(maps.Keys(m))
}

func list[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}
