package message

import (
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

	Seq        uint32   `json:"MsgSeq"`
	MsgRandom  *uint32  `json:"MsgRandom"` // of a one-to-one message
	Random     *uint32  `json:"Random"`    // of a group message
	TimeStamp  *int64   `json:"MsgTimeStamp"`
	LifeTime   *int64   `json:"MsgLifeTime"`
	OnlineOnly int64    `json:"OnlineOnlyFlag"`
	Control    []string `json:"SendMsgControl"`

	Body body         `json:"MsgBody"`
	Push *offlinePush `json:"OfflinePushInfo"`
}

// offlinePush is OfflinePushInfo. Fields of vendors that are not served are unknown names, and so never an error.
type offlinePush struct {
	PushFlag int64  `json:"PushFlag"`
	Title    string `json:"Title"`
	Desc     string `json:"Desc"`
	Ext      string `json:"Ext"`
	Android  struct {
		Sound           string `json:"Sound"`
		GoogleChannelID string `json:"GoogleChannelID"`
	} `json:"AndroidInfo"`
	Apns struct {
		Sound          string `json:"Sound"`
		BadgeMode      int64  `json:"BadgeMode"`
		Title          string `json:"Title"`
		SubTitle       string `json:"SubTitle"`
		Image          string `json:"Image"`
		MutableContent int64  `json:"MutableContent"`
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
		var name string
		if err := json.UnmarshalDecode(dec, &name); err != nil || name == "" {
			return err
		}
		a.present, a.names = true, []string{name}
		return nil
	}
	if err := dec.SkipValue(); err != nil {
		return err
	}
	return problem("neither a string nor an array")
}
