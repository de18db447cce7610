import { Caller, fetchToken } from 'caller-sdk';

const [button, shown, fault] = document.querySelectorAll('button, output, p');
const caller = new Caller({ getToken: (destination) => fetchToken('/call-token', { destination }) });
button.onclick = () => {
  if (caller.activeCall) return caller.activeCall.disconnect();
  const call = caller.call('+15005551009');
  call.on('changed', () => (shown.value = call.status()));
  call.on('error', ({ code, title, action }) => (fault.textContent = `${code}: ${title} ${action}`));
};
