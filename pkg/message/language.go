package message

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/text/language"
)

// word is a part of a text that each language says in its own way.
type word uint8

const (
	noWord word = iota
	wordLocation
	wordFace
	wordSound
	wordFile
	wordImage
	wordVideo
	wordNewMessage // all that a private app shows
	wordRecalled   // what stands where a recalled message stood
	wordCount
)

// wordOf is the word that stands for an element of that type; noWord where there is none.
func wordOf(elementType string) word {
	switch elementType {
	case "TIMLocationElem":
		return wordLocation
	case "TIMFaceElem":
		return wordFace
	case "TIMSoundElem":
		return wordSound
	case "TIMFileElem":
		return wordFile
	case "TIMImageElem":
		return wordImage
	case "TIMVideoFileElem":
		return wordVideo
	}
	return noWord
}

// vocabulary is one language's words.
type vocabulary [wordCount]string

// languageFiles hold one language each, named after its BCP 47 tag. A further language is a further file.
//
//go:embed languages/*.json
var languageFiles embed.FS

// fallback is the language of devices whose own is not among the files.
const fallback = "en"

// maxLanguageTag is far above any tag in use, in bytes; what is longer counts as the fallback.
const maxLanguageTag = 64

// languages is built once and never changes.
var languages = mustReadLanguages(languageFiles)

// catalog finds a device's words.
type catalog struct {
	matcher      language.Matcher
	vocabularies []vocabulary // in the matcher's order
}

// find matches a BCP 47 tag as an operating system reports it. Only a certain match counts: x/text would also offer
// Chinese to speakers of languages that are written differently, where the contract says English.
func (c *catalog) find(tag string) *vocabulary {
	// Of an ill-formed tag, as zh_CN.UTF-8, Parse returns what it could read.
	parsed, _ := language.Parse(tag)
	_, i, confidence := c.matcher.Match(parsed)
	if confidence < language.High {
		i = 0
	}
	return &c.vocabularies[i]
}

func mustReadLanguages(files fs.FS) *catalog {
	c, err := readLanguages(files)
	if err != nil {
		panic(err)
	}
	return c
}

// readLanguages reads languages/<tag>.json, every word of which must be there; the fallback comes first.
func readLanguages(files fs.FS) (*catalog, error) {
	names, err := fs.Glob(files, "languages/*.json")
	if err != nil {
		return nil, err
	}
	tags, c := []language.Tag{language.Und}, &catalog{vocabularies: make([]vocabulary, 1)}
	for _, name := range names {
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		words, err := readVocabulary(files, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if tag.String() == fallback {
			tags[0], c.vocabularies[0] = tag, words
			continue
		}
		tags, c.vocabularies = append(tags, tag), append(c.vocabularies, words)
	}
	if tags[0] == language.Und {
		return nil, fmt.Errorf("languages/%s.json is missing", fallback)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

func readVocabulary(files fs.FS, name string) (vocabulary, error) {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return vocabulary{}, err
	}
	var file struct {
		Location string `json:"location"`
		Face     string `json:"face"`
		Sound    string `json:"sound"`
		File     string `json:"file"`
		Image    string `json:"image"`
		Video    string `json:"video"`

		NewMessage string `json:"newMessage"`
		Recalled   string `json:"recalled"`
	}
	if err := json.Unmarshal(content, &file, json.RejectUnknownMembers(true)); err != nil {
		return vocabulary{}, err
	}
	words := vocabulary{
		wordLocation: file.Location, wordFace: file.Face, wordSound: file.Sound,
		wordFile: file.File, wordImage: file.Image, wordVideo: file.Video,
		wordNewMessage: file.NewMessage, wordRecalled: file.Recalled,
	}
	for _, w := range words[noWord+1:] {
		if w == "" {
			return vocabulary{}, fmt.Errorf("a word is missing")
		}
	}
	return words, nil
}
