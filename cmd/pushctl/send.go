package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
)

// maxInput bounds what is read from a file or from stdin, in bytes: the API's own limit of a body.
const maxInput = 8 << 20

// textMessage is a chat message of one text element, in the REST shape.
type textMessage struct {
	App         string        `json:"App,omitempty"`
	From        string        `json:"From_Account"`
	Nick        string        `json:"From_Nick,omitempty"`
	NameCard    string        `json:"From_NameCard,omitempty"`
	Group       string        `json:"GroupId,omitempty"`
	GroupName   string        `json:"GroupName,omitempty"`
	To          []string      `json:"To_Account,omitempty"`
	Seq         uint32        `json:"MsgSeq,omitempty"`
	MsgRandom   *uint32       `json:"MsgRandom,omitempty"`
	GroupRandom *uint32       `json:"Random,omitempty"`
	TimeStamp   int64         `json:"MsgTimeStamp"`
	Mentions    []mention     `json:"GroupAtInfo,omitempty"`
	Body        []textElement `json:"MsgBody"`
	Push        *pushInfo     `json:"OfflinePushInfo,omitempty"`
}

type mention struct {
	All     int    `json:"GroupAtAllFlag"`
	Account string `json:"GroupAt_Account,omitempty"`
}

type pushInfo struct {
	Apns struct {
		PushType string `json:"PushType"`
	} `json:"ApnsInfo"`
}

// everybody is the account that --mention takes for all members of the group.
const everybody = "all"

// typed is what the flags say beside the message's own fields.
type typed struct {
	text, pushType string
	mentions       []string
}

type textElement struct {
	Type    string      `json:"MsgType"`
	Content textContent `json:"MsgContent"`
}

type textContent struct {
	Text string `json:"Text"`
}

func (p *program) send() *cobra.Command {
	var m textMessage
	var t typed
	cmd := &cobra.Command{
		Use:   "send [FILE|-]",
		Short: "Send a chat message, or several as NDJSON, from a file, stdin or flags; print the message keys",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := p.message(args, m, t)
			if err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			var answer struct {
				Messages []struct {
					MsgKey string `json:"msg_key,omitempty"`
				} `json:"messages"`
			}
			if err := api.call(cmd.Context(), http.MethodPost, "/v1/messages", body, &answer); err != nil {
				return err
			}
			for _, sent := range answer.Messages {
				if p.output == "json" {
					err = jsonLines(p.stdout).Encode(sent)
				} else {
					_, err = fmt.Fprintln(p.stdout, printable(sent.MsgKey))
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&m.App, "app", "", "app (default: default_app of the configuration)")
	flags.StringVar(&m.From, "from", "", "sender's account")
	flags.StringVar(&m.Nick, "nick", "", "sender's nickname")
	flags.StringVar(&m.NameCard, "name-card", "", "sender's card in the group")
	flags.StringSliceVar(&m.To, "to", nil, "recipients' accounts, comma separated; without them, every member of the group")
	flags.StringVar(&m.Group, "group", "", "group id")
	flags.StringVar(&m.GroupName, "group-name", "", "the group's name")
	flags.StringSliceVar(&t.mentions, "mention", nil, "accounts that a group message mentions, comma separated; all = everybody")
	flags.StringVar(&t.pushType, "push-type", "", "alert, voip (a call) or background (shows nothing)")
	flags.StringVar(&t.text, "text", "", "the text")
	return cmd
}

// message is the body to send: a file's, stdin's, or one made from the flags. One made from flags carries all that its
// key consists of, so that the key is known before Kafka has it.
func (p *program) message(args []string, m textMessage, t typed) ([]byte, error) {
	if len(args) == 1 {
		if t.text != "" || m.From != "" {
			return nil, command.Usagef("a message comes from a file or from flags, not from both")
		}
		return p.input(args[0])
	}
	switch {
	case m.From == "" || t.text == "" && t.pushType != "background":
		return nil, command.Usagef("send needs a file, or --from and --text")
	case m.Group == "" && len(m.To) == 0:
		return nil, command.Usagef("send needs --to or --group")
	case m.Group == "" && len(t.mentions) > 0:
		return nil, command.Usagef("--mention needs --group")
	}
	switch t.pushType {
	case "":
	case "alert", "voip", "background":
		m.Push = &pushInfo{}
		m.Push.Apns.PushType = t.pushType
	default:
		return nil, command.Usagef("--push-type is alert, voip or background")
	}
	for _, account := range t.mentions {
		if account == everybody {
			m.Mentions = append(m.Mentions, mention{All: 1})
		} else {
			m.Mentions = append(m.Mentions, mention{Account: account})
		}
	}
	random := rand.Uint32()
	m.Seq = rand.Uint32()
	m.TimeStamp = p.now().Unix()
	m.Body = []textElement{}
	if t.text != "" {
		m.Body = append(m.Body, textElement{Type: "TIMTextElem", Content: textContent{Text: t.text}})
	}
	if m.Group != "" {
		m.GroupRandom = &random
	} else {
		m.MsgRandom = &random
	}
	return json.Marshal(m)
}

// input reads a file, or stdin where its name is "-".
func (p *program) input(name string) ([]byte, error) {
	in := p.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxInput)
	}
	return text, nil
}
