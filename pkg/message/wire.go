package message

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// record is the part of the REST shape that a push needs. Absent, null and, for text, empty are the same.
type record struct {
	App          string   `json:"App"`
	From         string   `json:"From_Account"`
	FromNick     string   `json:"From_Nick"`
	FromNameCard string   `json:"From_NameCard"`
	GroupID      string   `json:"GroupId"`
	GroupName    string   `json:"GroupName"`
	To           accounts `json:"To_Account"`

	Seq        integer  `json:"MsgSeq"`
	MsgRandom  integer  `json:"MsgRandom"` // of a one-to-one message
	Random     integer  `json:"Random"`    // of a group message
	TimeStamp  integer  `json:"MsgTimeStamp"`
	LifeTime   integer  `json:"MsgLifeTime"`
	OnlineOnly integer  `json:"OnlineOnlyFlag"`
	Control    controls `json:"SendMsgControl"`
	Priority   priority `json:"MsgPriority"`
	Mentions   mentions `json:"GroupAtInfo"`

	Body body         `json:"MsgBody"`
	Push *offlinePush `json:"OfflinePushInfo"`
}

// offlinePush is OfflinePushInfo. Names that are not known are never an error; those of AndroidInfo are kept.
type offlinePush struct {
	PushFlag integer `json:"PushFlag"`
	Title    string  `json:"Title"`
	Desc     string  `json:"Desc"`
	Ext      string  `json:"Ext"`
	Android  struct {
		Sound           string `json:"Sound"`
		GoogleChannelID string `json:"GoogleChannelID"`
		// The rest, as one object whose names and values are the record's bytes.
		Vendor jsontext.Value `json:",embed"`
	} `json:"AndroidInfo"`
	Apns struct {
		Sound          string  `json:"Sound"`
		BadgeMode      integer `json:"BadgeMode"`
		Title          string  `json:"Title"`
		SubTitle       string  `json:"SubTitle"`
		Image          string  `json:"Image"`
		MutableContent integer `json:"MutableContent"`
		PushType       string  `json:"PushType"`
		Interruption   string  `json:"InterruptionLevel"`
	} `json:"ApnsInfo"`
}

// accounts is To_Account: one account or an array of them.
type accounts struct {
	present bool
	names   []string
}

// UnmarshalJSONFrom reads a string, an array of strings, or null.
func (a *accounts) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '[':
		a.present = true
		return json.UnmarshalDecode(dec, &a.names)
	case 'n', '"':
		a.names = make([]string, 1)
		err := json.UnmarshalDecode(dec, &a.names[0])
		a.present = a.names[0] != ""
		return err
	}
	if err := dec.SkipValue(); err != nil {
		return err
	}
	return problem("neither a string nor an array")
}

// controls is SendMsgControl, of which only what a push needs is kept.
type controls struct {
	noUnread   bool // the message does not count
	honorsMute bool // WithMuteNotifications

	current string // reused
}

// UnmarshalJSONFrom reads an array of strings, or null.
func (c *controls) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return readArray(dec, func() error {
		err := json.UnmarshalDecode(dec, &c.current)
		c.noUnread = c.noUnread || c.current == "NoUnread"
		c.honorsMute = c.honorsMute || c.current == "WithMuteNotifications"
		return err
	})
}

// readArray lets element read each element of an array. Null is an array of none.
func readArray(dec *jsontext.Decoder, element func() error) error {
	if kind := dec.PeekKind(); kind != '[' {
		if err := dec.SkipValue(); err != nil || kind == 'n' {
			return err
		}
		return problem("not an array")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// integer is a number without fraction. One beyond 64 bits counts as the nearest that fits: it is out of every range here.
type integer struct {
	present bool
	value   int64
}

// UnmarshalJSONFrom reads an integer, or null.
func (i *integer) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	kind := dec.PeekKind()
	if kind != '0' {
		if err := dec.SkipValue(); err != nil || kind == 'n' {
			return err
		}
		return problem("not an integer")
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	i.present = true
	if i.value, err = token.Int(); errors.Is(err, strconv.ErrSyntax) {
		return problem("not an integer")
	}
	return nil
}
