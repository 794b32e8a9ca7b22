package simulator

import "net/http"

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/", "/simulator/":
		s.servePage(w, r)
	case "/simulator/client.js":
		serveClient(w, r)
	case "/sns/jscode2session":
		s.api(w, r, http.MethodGet, s.code2Session)
	case "/sns/oauth2/access_token":
		s.api(w, r, http.MethodGet, s.oauth2)
	case consentPath, qrPath:
		s.connect(w, r)
	case confirmPath:
		s.confirm(w, r)
	case "/cgi-bin/stable_token":
		s.api(w, r, http.MethodPost, s.stableToken)
	case "/cgi-bin/token":
		s.api(w, r, http.MethodGet, s.token)
	case codePath:
		s.code(w, r)
	case "/cgi-bin/message/custom/send":
		s.api(w, r, http.MethodPost, s.send)
	case "/simulator/code":
		s.control(w, r, http.MethodPost, s.newCode)
	case "/simulator/consent":
		s.control(w, r, http.MethodPost, s.consentByHand)
	case "/simulator/users":
		s.control(w, r, http.MethodPost, s.newUser)
	case "/simulator/answer":
		s.control(w, r, http.MethodPost, s.newScript)
	case "/simulator/developer-tools":
		s.control(w, r, http.MethodPost, s.chooseTools)
	case "/simulator/reset":
		s.control(w, r, http.MethodPost, s.reset)
	case "/simulator/state":
		s.control(w, r, http.MethodGet, s.state)
	case "/simulator/gateway":
		s.control(w, r, http.MethodPost, s.relay)
	default:
		if !s.serveMembers(w, r) {
			servePart(w, r)
		}
	}
}

// serveMembers answers what is about one user; false if the path is not.
func (s *Site) serveMembers(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/wxa/checksession":
		s.api(w, r, http.MethodGet, s.signed(s.checkSession))
	case "/wxa/resetusersessionkey":
		s.api(w, r, http.MethodGet, s.signed(s.resetSessionKey))
	case "/wxa/set_user_storage":
		s.api(w, r, http.MethodPost, s.signed(setStorage))
	case "/wxa/remove_user_storage":
		s.api(w, r, http.MethodPost, s.signed(removeStorage))
	case "/wxa/business/getuserphonenumber":
		s.api(w, r, http.MethodPost, s.phoneNumber)
	case "/xpay/query_user_balance":
		s.api(w, r, http.MethodPost, s.paid(queryBalance))
	case "/xpay/currency_pay":
		s.api(w, r, http.MethodPost, s.paid(payCoins))
	case "/xpay/query_order":
		s.api(w, r, http.MethodPost, s.paid(queryOrder))
	case "/simulator/phone-code":
		s.control(w, r, http.MethodPost, s.newPhoneCode)
	case "/simulator/encrypted-data":
		s.control(w, r, http.MethodPost, s.newEncryptedData)
	case "/simulator/payment":
		s.control(w, r, http.MethodPost, s.pay)
	case "/simulator/storage":
		s.control(w, r, http.MethodGet, s.showStorage)
	default:
		return false
	}
	return true
}
