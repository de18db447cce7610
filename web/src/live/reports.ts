/** What operators see of refused calls and of credit, and only they load, once they want it. */

import './credit';
import './fraud';
