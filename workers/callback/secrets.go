package callback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"go.uber.org/zap"
)

const (
	// minSecret is half of what HMAC-SHA256 can use, in bytes; shorter ones can be guessed from a signed body.
	minSecret = 16
	// maxSecrets bounds what is read.
	maxSecrets = 4 << 10
)

// Secrets are what an app's callbacks are signed with: one, or while it is being replaced two, separated by white space. A
// file is read again for each callback, so that a changed one counts from the next on; while it cannot be read, or says
// nothing sensible, what was read before holds. It is safe for concurrent use.
type Secrets struct {
	file, env string
	log       *zap.Logger

	mu    sync.Mutex
	last  [][]byte
	wrong bool // the last try to read failed
}

// OpenSecrets reads the secrets of a file, or of an environment variable. Its error names the place and no secret.
func OpenSecrets(file, env string, log *zap.Logger) (*Secrets, error) {
	s := &Secrets{file: file, env: env, log: log}
	var err error
	if s.last, err = s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Secrets) read() ([][]byte, error) {
	if s.file == "" {
		secrets, err := parseSecrets(os.Getenv(s.env))
		if err != nil {
			return nil, fmt.Errorf("environment variable %s: %w", s.env, err)
		}
		return secrets, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecrets+1))
	if err != nil {
		return nil, err
	}
	secrets, err := parseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	return secrets, nil
}

func parseSecrets(text string) ([][]byte, error) {
	words := strings.Fields(text)
	switch {
	case len(words) == 0:
		return nil, errors.New("holds no secret")
	case len(words) > 2 || len(text) > maxSecrets:
		return nil, errors.New("holds more than two secrets")
	}
	secrets := make([][]byte, len(words))
	for i, word := range words {
		if len(word) < minSecret {
			return nil, fmt.Errorf("a secret is shorter than %d bytes", minSecret)
		}
		secrets[i] = []byte(word)
	}
	return secrets, nil
}

// current returns the secrets that hold now.
func (s *Secrets) current() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets, err := s.read()
	if err != nil {
		if !s.wrong {
			s.log.Error("secrets of callbacks cannot be read: those read before still hold", zap.Error(err))
		}
		s.wrong = true
		return s.last
	}
	s.last, s.wrong = secrets, false
	return s.last
}
