package config

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	koanfmaps "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

//go:embed defaults.yml
var defaultsYAML []byte

// delimiter joins a key's path inside koanf. A full stop may be part of an app's name; a control character may not.
const delimiter = "\x00"

const envPrefix = "PUSHFLEET_"

// envText is a value from the environment, whose type its target decides.
type envText string

// merge lays the defaults, the file and the environment over each other. environ nil is the process's.
func merge(path string, platforms []push.Platform, environ func() []string, m *mistakes) (map[string]any, error) {
	defaults, err := yaml.Parser().Unmarshal(defaultsYAML)
	if err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	k := koanf.New(delimiter)
	if err := k.Load(confmap.Provider(defaults, ""), nil); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	names := envNames(k.Keys())
	if err := k.Load(file.Provider(path), yaml.Parser(), koanf.WithMergeFunc(mergeFile)); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := k.Load(env.Provider(delimiter, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: environ,
		TransformFunc: func(name, value string) (string, any) {
			key, ok := envKey(name, names, platforms)
			if !ok {
				m.add(name, "no key of that name in the configuration")
			}
			return key, envText(value)
		},
	}), nil); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return k.Raw(), nil
}

// mergeFile lays the file over the defaults. A key without a value, as a section whose lines are all commented out,
// counts as absent; below apps it means an empty app or credential.
func mergeFile(src, dest map[string]any) error {
	dropNulls(src)
	koanfmaps.Merge(src, dest)
	return nil
}

func dropNulls(tree map[string]any) {
	maps.DeleteFunc(tree, func(_ string, v any) bool { return v == nil })
	for key, v := range tree {
		if section, ok := v.(map[string]any); ok && key != "apps" {
			dropNulls(section)
		}
	}
}

// envNames maps the name of each key's environment variable to the key.
func envNames(keys []string) map[string]string {
	names := make(map[string]string, len(keys))
	for _, key := range keys {
		names[envPrefix+strings.ToUpper(strings.ReplaceAll(key, delimiter, "_"))] = key
	}
	return names
}

// foreignEnv are the variables that others set under our prefix: our own tests', and those that Kubernetes puts into
// every container of a namespace that has a service named pushfleet-….
var foreignEnv = regexp.MustCompile(`^PUSHFLEET_(TEST_\w+|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$`)

// envKey finds the key that an environment variable overrides; "" and true: the variable is not ours. A platform's
// block is open: PUSHFLEET_APNS_CA_FILE is the key ca_file of apns, known or not, as apns will say.
func envKey(name string, names map[string]string, platforms []push.Platform) (string, bool) {
	if key, ok := names[name]; ok {
		return key, true
	}
	if foreignEnv.MatchString(name) {
		return "", true
	}
	platform, key, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_")
	if key != "" && slices.Contains(platforms, push.Platform(platform)) {
		return platform + delimiter + key, true
	}
	return "", false
}
