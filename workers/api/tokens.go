package api

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// maxTokensFile bounds the file of bearer tokens.
const maxTokensFile = 1 << 20

// tokens holds the hashes of the bearer tokens of a file, one a line; empty lines and lines that begin with # are
// comments. It looks at the file's time and size at every request, so a changed file counts from the next request on.
// While the file cannot be read, the tokens read before hold: a file is missing for a moment while it is replaced.
type tokens struct {
	file   string
	logger *zap.Logger

	mu     sync.Mutex
	seen   fileVersion // of the last read, successful or not
	hashes [][sha256.Size]byte
}

type fileVersion struct {
	modified time.Time
	size     int64
	missing  bool
}

func openTokens(file string, logger *zap.Logger) (*tokens, error) {
	hashes, err := readTokens(file)
	if err != nil {
		return nil, err
	}
	if len(hashes) == 0 {
		return nil, fmt.Errorf("%s holds no token", file)
	}
	return &tokens{file: file, logger: logger, seen: versionOf(file), hashes: hashes}, nil
}

func versionOf(file string) fileVersion {
	info, err := os.Stat(file)
	if err != nil {
		return fileVersion{missing: true}
	}
	return fileVersion{modified: info.ModTime(), size: info.Size()}
}

func readTokens(file string) ([][sha256.Size]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxTokensFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTokensFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxTokensFile)
	}
	var hashes [][sha256.Size]byte
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			hashes = append(hashes, sha256.Sum256([]byte(line)))
		}
	}
	return hashes, nil
}

// allow reports whether an Authorization header carries one of the tokens. Hashes are compared, all of them and in
// constant time, so that the time taken tells nothing of a token.
func (t *tokens) allow(authorization string) bool {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return false
	}
	presented := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := 0
	for _, hash := range t.current() {
		found |= subtle.ConstantTimeCompare(hash[:], presented[:])
	}
	return found == 1
}

func (t *tokens) current() [][sha256.Size]byte {
	version := versionOf(t.file)
	t.mu.Lock()
	defer t.mu.Unlock()
	if version == t.seen {
		return t.hashes
	}
	t.seen = version
	hashes, err := readTokens(t.file)
	if err != nil {
		t.logger.Error("bearer tokens cannot be read: those read before still hold", zap.Error(err))
		return t.hashes
	}
	t.hashes = hashes
	t.logger.Info("bearer tokens read again", zap.Int("tokens", len(hashes)))
	return hashes
}
