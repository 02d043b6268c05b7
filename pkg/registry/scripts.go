package registry

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	"embed"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// script is one Lua script, by the name that Redis gives it.
type script struct{ sha string }

// scripts are all scripts of the registry.
type scripts struct {
	decide, admit, settle, apply, own, strip, restore, show, lock, complete *script
	register, recall                                                        *script
	member, split, members, size                                            *script
	read, sync, acknowledge, shown, uncount                                 *script
	settingsApply, settingsShow, settingsZone                               *script

	source map[string]string // by SHA-1
}

func newScripts() *scripts {
	group := mustRead("group")
	device, messages, settings := mustRead("device"), mustRead("messages"), mustRead("settings")
	badge, claim, mark := mustRead("badge"), mustRead("claim"), mustRead("mark")
	rules := settings + mustRead("rules")
	sources := make(map[string]string)
	load := func(name, prelude string) *script {
		source := prelude + mustRead(name)
		sum := sha1.Sum([]byte(source)) //nolint:gosec // as above
		sha := hex.EncodeToString(sum[:])
		sources[sha] = source
		return &script{sha: sha}
	}
	return &scripts{
		source: sources,

		decide:   load("decide", device+badge+claim+rules),
		admit:    load("admit", device+badge+mark+rules),
		settle:   load("settle", mark),
		apply:    load("apply", device+badge),
		own:      load("own", ""),
		strip:    load("strip", device),
		restore:  load("restore", device),
		show:     load("show", device),
		lock:     load("lock", ""),
		complete: load("complete", ""),

		register: load("register", messages),
		recall:   load("recall", messages),

		member:  load("member", group),
		split:   load("split", group),
		members: load("members", ""),
		size:    load("size", group),

		settingsApply: load("settings_apply", settings),
		settingsShow:  load("settings_show", settings),
		settingsZone:  load("settings_zone", ""),

		read:        load("read", device+badge),
		sync:        load("sync", mark),
		acknowledge: load("acknowledge", device+mark),
		shown:       load("shown", device+badge+claim),
		uncount:     load("uncount", device+badge),
	}
}

func mustRead(name string) string {
	b, err := scriptFiles.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // embedded: the build has it or does not compile
	}
	return string(b)
}

// call is one script with its keys and arguments; its answer is always one string.
func (s *script) call(ctx context.Context, keys []string, args ...any) *redis.StringCmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", s.sha, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	return redis.NewStringCmd(ctx, append(all, args...)...)
}

// whole is a call again, with the script's source in place of its name.
func (s *scripts) whole(ctx context.Context, call *redis.StringCmd) *redis.StringCmd {
	args := slices.Clone(call.Args())
	args[0], args[1] = "eval", s.source[args[1].(string)]
	return redis.NewStringCmd(ctx, args...)
}

// pipelineCalls bounds the calls on their way in one pipeline, and so the memory of its replies.
const pipelineCalls = 512

// run sends the calls in pipelines, in order, and returns their answers.
func (r *Registry) run(ctx context.Context, what string, calls []*redis.StringCmd) ([]string, error) {
	for chunk := range slices.Chunk(calls, pipelineCalls) {
		if err := r.pipeline(ctx, chunk); err != nil {
			return nil, fmt.Errorf("registry: %s: %w", what, err)
		}
	}
	answers := make([]string, len(calls))
	for i, call := range calls {
		if answers[i] = call.Val(); answers[i] == answerEmpty {
			return nil, ErrEmpty
		}
	}
	return answers, nil
}

// answerEmpty is what a script says that found no epoch marker.
const answerEmpty = "E"

// pipeline sends calls. A server that does not know the scripts (new, restarted, failed over) gets those calls once more
// with the whole script, which makes it known: a pipeline has no fall-back of its own. Whoever loaded the scripts first and
// then called them might speak to two servers, behind an address that has just moved to another.
func (r *Registry) pipeline(ctx context.Context, calls []*redis.StringCmd) error {
	unknown, err := r.send(ctx, calls)
	if err != nil || len(unknown) == 0 {
		return err
	}
	again := make([]*redis.StringCmd, len(unknown))
	for i, at := range unknown {
		again[i] = r.scripts.whole(ctx, calls[at])
	}
	_, err = r.send(ctx, again)
	for i, at := range unknown {
		calls[at] = again[i]
	}
	return err
}

// send executes one pipeline and returns the positions of the calls whose script the server did not know.
func (r *Registry) send(ctx context.Context, calls []*redis.StringCmd) (unknown []int, err error) {
	pipe := r.client.Pipeline()
	for _, call := range calls {
		if err := pipe.Process(ctx, call); err != nil {
			return nil, err
		}
	}
	if _, err := pipe.Exec(ctx); err == nil {
		return nil, nil
	}
	for i, call := range calls {
		switch err := call.Err(); {
		case err == nil:
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, i)
		default:
			if cluster, ok := r.client.(*redis.ClusterClient); ok {
				cluster.ReloadState(ctx) // by itself it asks who is master once a minute
			}
			return nil, err
		}
	}
	return unknown, nil
}
