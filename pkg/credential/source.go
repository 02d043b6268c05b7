package credential

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxBytes bounds what is read of a file. A p8 has about 260 bytes, a service account 2.4 KB, a p12 with its chain 8 KB.
const maxBytes = 64 << 10

// Source says where a credential is kept. File or Env is set; of the others at most one of each pair. Files are
// absolute; what stands in the environment does not change while the process runs.
type Source struct {
	File string
	Env  string // variable with the content as it is, or in base64

	PasswordFile string // of a p12; a line end behind the password is no part of it
	PasswordEnv  string

	KeyIDFile string // of a p8, where its id changes with the file
}

// Material is what a source holds.
type Material struct {
	Content  []byte
	Password string // "" = none
	KeyID    string // "" = not kept beside the key
}

// String names the place, not what is there.
func (s Source) String() string {
	if s.Env != "" {
		return "environment variable " + s.Env
	}
	return s.File
}

// Read reads everything anew. Its errors name the file or the variable.
func (s Source) Read() (Material, error) {
	var m Material
	var err error
	if s.Env != "" {
		m.Content, err = readEnv(s.Env)
		m.Content = decoded(m.Content)
	} else {
		m.Content, err = readFile(s.File)
	}
	if err != nil {
		return Material{}, err
	}
	var password []byte
	switch {
	case s.PasswordEnv != "":
		password, err = readEnv(s.PasswordEnv)
	case s.PasswordFile != "":
		password, err = readFile(s.PasswordFile)
	}
	if err != nil {
		return Material{}, fmt.Errorf("password: %w", err)
	}
	m.Password = strings.TrimRight(string(password), "\r\n")
	if s.KeyIDFile != "" {
		id, err := readFile(s.KeyIDFile)
		if err != nil {
			return Material{}, fmt.Errorf("key id: %w", err)
		}
		m.KeyID = strings.TrimSpace(string(id))
	}
	return m, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes: no credential", path, maxBytes)
	}
	return content, nil
}

func readEnv(name string) ([]byte, error) {
	value := os.Getenv(name)
	switch {
	case value == "":
		return nil, fmt.Errorf("environment variable %s: not set, or empty", name)
	case len(value) > 2*maxBytes: // base64 makes four bytes of three
		return nil, errors.New("environment variable " + name + ": too long for a credential")
	}
	return []byte(value), nil
}

// decoded is a variable's content without its base64. Neither PEM nor JSON can be taken for base64, since neither begins
// with one of its characters; a p12 is binary, and no variable can hold it as it is.
func decoded(value []byte) []byte {
	compact := bytes.Join(bytes.Fields(value), nil)
	content := make([]byte, base64.StdEncoding.DecodedLen(len(compact)))
	n, err := base64.StdEncoding.Decode(content, compact)
	if err != nil {
		return value
	}
	return content[:n]
}
