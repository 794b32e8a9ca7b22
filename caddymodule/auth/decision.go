package auth

// decision is what the gateway does with a request before the app: answered, nobody or a
// *passage.
type decision interface{ decided() }

type (
	// answered: the gateway has answered, and the app never hears of the request.
	answered struct{}
	// nobody: the request passes without a user.
	nobody uint8
)

const (
	// varies: a login would have changed the answer.
	varies nobody = 1 << iota
	// tokenInURL: the request's address has a token in it, which pages hand on.
	tokenInURL
)

func (answered) decided() {}
func (nobody) decided()   {}
func (*passage) decided() {}

// hop is what a request wanted of its connection before that was cleaned.
type hop struct {
	websocket bool
	upgrades  bool // to whatever
}
